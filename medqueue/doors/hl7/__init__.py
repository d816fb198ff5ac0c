"""The HL7 v2 door: report texts by MLLP, acknowledged only when they are durable."""
