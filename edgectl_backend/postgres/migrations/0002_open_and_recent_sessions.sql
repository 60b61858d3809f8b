-- The fleet's page asks for these every few seconds, over all sites.
CREATE INDEX session_open ON session (site) WHERE status = 'active';
CREATE INDEX session_by_end ON session (ended_at);
