-- Calls that are over here and not yet for the carrier: looked for every few seconds, and few.
CREATE INDEX calls_without_carrier_end ON calls (ended_at) WHERE carrier_ended_at IS NULL;
-- Events about calls that the carrier names.
CREATE INDEX calls_by_carrier_call_id ON calls (carrier_call_id);
