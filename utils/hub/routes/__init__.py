"""The protocol, one module per part of it. Each has a `router`; `call` is what they share."""
