"""What an electrician asks of a line, with nothing but reads: who is there, what is it, what does it say.

- ``questions``  the only thing the tools can put on a line: a read of registers
- ``hearing``    what was heard after a question: answers, other people's answers, damage; pure
- ``lines``      asking with a window instead of a timeout, and hearing everything; for the scan
- ``scan``       who answers on a line, and where two answer at once; start reading here
- ``identify``   which model it is, how sure that is, and what else it might be
- ``sampling``   one reading, or all as they come
- ``remarks``    what looks odd in a reading; pure
- ``tapped``     a bus that remembers what went over it
"""
