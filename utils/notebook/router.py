"""Leads the clients' calls for the inference router of the real Hub to the course's Hub.

`InferenceClient` sends a bare model id to one fixed host, whatever HF_ENDPOINT says. huggingface_hub lets an
application make its HTTP clients (`set_client_factory`): ours have that host answered by the Hub that is in use.
"""

import sys

import wrapt

HOST = "https://router.huggingface.co"
PROVIDER = b"/hf-inference"  # the provider whose paths the Hub serves


_home: str | None = None  # the Hub's address; None: the real router
_waiting = False  # for huggingface_hub to be imported


def lead_home(url: str | None) -> None:
    """From now on every client of this process reaches the inference of the Hub at `url`; None: the real router's.

    huggingface_hub is not imported for it: what it reads from the environment may still change.
    """
    global _home, _waiting
    _home = url
    if "huggingface_hub" in sys.modules:
        _set_factories()
    elif not _waiting:
        _waiting = True
        wrapt.register_post_import_hook(lambda _module: _set_factories(), "huggingface_hub")


def _set_factories() -> None:
    import httpx2
    from huggingface_hub import set_async_client_factory, set_client_factory
    from huggingface_hub.utils._http import default_async_client_factory, default_client_factory

    if _home is None:
        set_client_factory(default_client_factory)
        set_async_client_factory(default_async_client_factory)
        return
    home = httpx2.URL(_home)

    def rerouted(request: httpx2.Request) -> httpx2.Request:
        request.url = home.copy_with(raw_path=request.url.raw_path.removeprefix(PROVIDER))
        request.headers["Host"] = request.url.netloc.decode()
        return request

    class Home(httpx2.HTTPTransport):
        def handle_request(self, request: httpx2.Request) -> httpx2.Response:
            return super().handle_request(rerouted(request))

    class AsyncHome(httpx2.AsyncHTTPTransport):
        async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
            return await super().handle_async_request(rerouted(request))

    def like(default: httpx2.Client | httpx2.AsyncClient, transport: object) -> dict:
        """What the library's own client is made with, and the router's host answered by `transport`."""
        own = {"event_hooks": default.event_hooks, "follow_redirects": True, "timeout": default.timeout}
        return own | {"mounts": {HOST: transport}}

    set_client_factory(lambda: httpx2.Client(**like(default_client_factory(), Home())))
    set_async_client_factory(lambda: httpx2.AsyncClient(**like(default_async_client_factory(), AsyncHome())))
