"""The commands, by what they are about: data, runs, and answers."""
