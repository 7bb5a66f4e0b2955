"""doctor: what needs care, each finding with its place, its name and what to do. `gateway doctor` is the command.

`lenient` judges the settings, `ending` knows what ends by itself, `files` who else may read or write them, `custody` asks the keys
and the database. All of them read, and change nothing.
"""
