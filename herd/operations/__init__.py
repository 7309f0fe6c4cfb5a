"""Operations: take arguments, compare with what is observed on the Mac, yield what is to be done.

None reads host.data, and none asks whether another one just changed something: a run that was
killed at any point is repaired by the next, as each converges from what it sees.
"""
