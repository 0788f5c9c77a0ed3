"""Inference: a repo's model, loaded in a process of its own and asked over HTTP.

routes/inference.py   what `InferenceClient` and `requests` send, and the honest refusals
pool.py               which models are in memory: loading, asking in turn, limits of time and memory, leaving when idle
worker.py             the process that holds one model
tasks.py              each task by transformers or diffusers; generation.py for text and chat, token by token
"""
