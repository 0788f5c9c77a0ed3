"""The local Hub: a small server that speaks the Hugging Face Hub protocol, so that its clients work unmodified.

Read in this order: `tables` (accounts and repos), `git` (commits and trees), `objects` (large files), `xet` (the same
in chunks), `hub` (all of them together), `routes/` (one module per part of the protocol), `app` and `serve`.
"""
