"""Scores of genotypes that their clinic encrypts, by weights that their owner keeps.

`listing` what is public of a model, `wire` the messages, `limits` who asked how much, `scorer`
what the owner does, `server` how it is reached; `dosages` and `asking` what the clinic does,
`client` how it reaches the owner; `certificates` for a trial. The scheme itself is
`protections/score_scheme`.
"""
