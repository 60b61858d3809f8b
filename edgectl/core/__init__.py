"""Decides and touches nothing: no clock, socket, file, task, random number or logger.

``Controller.handle(event, now) -> list[Decision]`` is the one door; time arrives with the event, so the same events give the same
decisions on a laptop, in a simulated year and in a log replayed from a customer. May import ``domain`` and ``ports`` only.

- ``controller``    routes an event to the parts below and gathers their decisions
- ``chargers``      links, boot, connector status: what each charger is known to be
- ``authorization`` who may charge
- ``charging``      what transactions of chargers do to sessions, and tell of vehicles
- ``sessions``      start, update, stop; recognises repeats and orphans
- ``evidence``      what a message says and how far it is believed
- ``periods``       the spans of a session; ``registers`` energy from registers that may lie
- ``tariffs``       what a session costs; ``signed`` whether its meter says so; ``exports`` sessions as others want them
- ``meters``        the last reading of each meter, and whether it can still be trusted
- ``doubts``        meters that answer and do not tell the truth
- ``mechanisms``    what lowers a charger without us, proven or assumed
- ``circuits``      background load and headroom of each conductor
- ``excursions``    how far conductors were above their limits; ``curtailment`` what vehicles were not allowed
- ``demand``        wishes, reserves and capacities of one control step; ``room`` what conductors have left
- ``vehicles``      what each vehicle draws and wants, as far as it shows
- ``limits``        commanded, confirmed and worst credible current of each EVSE
- ``waking``        vehicles that sleep through the end of a pause; ``ramp`` the minutes after a blackout
- ``external``      limits from outside: ``standing`` one and its end, ``inputs`` contacts and registers, ``arbiter`` who wins
- ``turns``         who waits when not every minimum fits; ``departures`` who must leave when, with how much
- ``policy``        from wishes to claims; ``lookahead`` the plan that says what must be given now,
                  ``foresight`` the same as a linear programme for a solver outside
- ``history``       limits and their reasons, kept for ``why --at``
- ``allocation``    one pure function: claims and capacities to currents
- ``sharing``       the share-out as one call for simulators
- ``balancing``     the control step; ``orders`` what chargers are told and when; ``explaining`` why
- ``alarms``        named conditions with a start and an end
- ``proof``         is the site safe when we are gone?
- ``picture``       the state as people are shown it; ``publishing`` which of it the broker is told

Start reading at ``controller``, then ``balancing``.
"""
