"""Speed as ratios, measured in one run; see ``protocol.py`` for how."""
