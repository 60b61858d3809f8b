-- The fleet's page asks for these every few seconds, over all sites.
CREATE INDEX event_telemetry_gap ON event (at DESC) WHERE kind = 'telemetry-gap';
