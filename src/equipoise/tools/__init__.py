"""What the stand-alone commands do: for one person with files, of one site or of several.

There is no study file, agreement or ledger here: whoever runs a command reads all the files
it is given. What is computed over several sites is computed as in a study all the same:
from sums over sites, under a protection, by the same analyses.
"""
