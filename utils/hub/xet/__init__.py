"""Xet storage: large files as chunks that are stored once, in whatever file, version or repo they appear.

Read in this order: `hashing`, `xorb` (chunks on disk and on the line), `shard` (what a client says of its files),
`store` (what is kept, and who may use it); `routes/xet.py` serves it. The formats are specified at
https://huggingface.co/docs/xet.
"""
