"""A request that the model cannot answer, as the Hub is to say it."""


class Wrong(Exception):
    """The refusal of a request: an HTTP status, 422 if nothing else, and a sentence."""

    def __init__(self, message: str, status: int = 422):
        super().__init__(message)
        self.message, self.status = message, status
