"""How many replicas of a version are to be in memory, and which idle ones are worth keeping there: from what was measured, against a stated objective. Pure: no Django, no Redis, no clock."""
