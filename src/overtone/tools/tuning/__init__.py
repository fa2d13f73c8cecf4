"""Search for the settings that are fastest on this machine: `overtone tune`.

- axes.py: values to try on a device
- sampling.py: some of the user's own audio, the same for every trial
- search.py: the next trial, and the best of those made; pure
- trial.py: one trial, in a child process, so that its peak memory counts nothing else
- session.py: the trials of one tuning, one after the other
- profile.py: the settings found, as a file that `--profile` takes
"""
