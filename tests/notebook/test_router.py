"""After `start()`, `InferenceClient` with a bare model id is answered by the course's Hub, not by the real router."""

SST2 = "distilbert/distilbert-base-uncased-finetuned-sst-2-english"
ASK = """
import asyncio, json, requests, time
from utils.notebook import start
here = start()
from huggingface_hub import AsyncInferenceClient, InferenceClient, get_token
PATIENT = {"X-Wait-For-Model": "true"}
model = "%s"
classify = InferenceClient(model, headers=PATIENT).text_classification
first = classify("I love it")[0].label
named = InferenceClient(provider="hf-inference", headers=PATIENT).text_classification("I hate it", model=model)[0].label
again = asyncio.run(AsyncInferenceClient(model, headers=PATIENT).text_classification("I love it"))[0].label
answer = requests.post(
    f"{here.hub}/models/{model}",
    headers={"Authorization": f"Bearer {get_token()}"},
    json={"inputs": "I hate it"},
)
try:
    InferenceClient(model, headers=PATIENT).chat_completion([{"role": "user", "content": "hi"}])
except Exception as error:
    refused = error.response.status_code
requests.post(f"{here.hub}/settings/inference", headers={"Authorization": f"Bearer {get_token()}"}, data={"calls": "0"})
try:
    classify("I love it")
except Exception as error:
    spent = error.response.status_code
requests.post(f"{here.hub}/settings/inference", headers={"Authorization": f"Bearer {get_token()}"}, data={})
print(json.dumps([first, named, again, answer.json()[0][0]["label"], refused, spent]))
"""


def test_a_bare_model_id_is_answered_by_the_local_hub(python, place, tmp_path):
    # No request leaves this machine: the proxy is a port where nobody listens.
    proxy = {"HTTPS_PROXY": "http://127.0.0.1:9"}
    answers = python(ASK % SST2, tmp_path, PATHSHALA_HOME=place.home, **proxy)
    assert answers == ["POSITIVE", "NEGATIVE", "POSITIVE", "NEGATIVE", 422, 402]
