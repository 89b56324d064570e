"""What ran, and what came of it: append-only logs that anyone can check afterwards.

`tree` is the Merkle tree, `checkpoint` its signed head, `entry` the records,
`log` the store on disk, `audit` the check of a whole output folder.
"""
