"""Finding the settings that are fastest on this machine: `overtone tune`.

sample.py   some of the user's own audio, the same for every trial
search.py   which trial next, and which one wins; pure
trial.py    one trial, in a process of its own, so that its peak memory is its own
session.py  the trials of one tuning, one after the other
profile.py  what was found, as a file that `--profile` takes
"""
