"""The words of the field: plain frozen values, no behaviour beyond arithmetic, no imports from the rest of the house.

``units`` and ``phases`` are the numbers, ``ids`` the names, ``site`` the plant as configured, ``events`` what can happen,
``decisions`` what may be ordered, ``records`` what is kept, ``reasons`` why a limit is what it is, ``views`` what people
are shown, ``settings`` how the edges are reached, ``bill`` how a session is told to everybody outside.
"""
