"""Spaces: apps that are pushed as repos and run here, each in a process tree of its own.

`config` reads what a repo wants to run, `engines` says how each SDK is started, `space` is one Space's life from stage
to stage, `manager` keeps them all, `front` is the door through which visitors come in, `logs` what an app has said.

Where a Space is reached: at a port of its own on the Hub's address. So it has its own origin in a browser, and can
neither read the Hub's pages nor act on them: the Hub's forms ask for the Hub's own origin, the API never reads a
cookie, and the front takes the Hub's cookie and the visitor's token off before a request reaches the app.
"""
