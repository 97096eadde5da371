"""A run behind HTTP: the page for people, predictions for programs.

``queue`` takes rows and gives rows and knows no HTTP; ``model`` is what a server asks of a run; ``predicting`` and
``inference_protocol`` are two ways to say it over HTTP; ``app`` leads a request to one of them, ``server`` runs it all.
"""
