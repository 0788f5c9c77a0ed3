"""The local Hub: a small server that speaks the Hugging Face Hub protocol, so that its clients work unmodified.

Read in this order: `tables` (accounts and repos), `accounts` (who may do what), `git` (commits and trees), `objects`
(large files), `xet` (the same in chunks), `hub` (all of them together), `discussions` and `merge` (pull requests),
`pack`, `push` and `fetch` (git's own protocol), `inference/` and `spaces/` (models and apps that run here), `routes/`
(one module per part of the protocol), `app` and `serve`; `care` looks after what lies on the disk.
"""
