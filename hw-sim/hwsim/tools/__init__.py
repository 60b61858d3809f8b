"""Tools around the depot in a box. Standard library only: ``.ci/setup.py`` uses them before any dependency is installed.

- ``debian``     programs from Debian packages, unpacked into a cache folder without root
- ``mosquitto``  the real MQTT 5 broker for the demo and the tests
- ``postgres``   the database of the reference backend
"""
