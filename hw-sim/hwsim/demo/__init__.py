"""``make demo``: the real daemon as its own process, and on loopback around it chargers, cars, meters, a broker and a backend.

- ``run``      starts everything, watches, ends everything; start reading here
- ``plant``    the simulated depot on the real event loop
- ``backend``  a small consumer that stores sessions and sends receipts
- ``process``  child processes that never outlive the demo
- ``summary``  the live view in the terminal
"""

from hwsim.demo.run import run_demo

__all__ = ["run_demo"]
