"""Plan -> run -> records -> report: the fair bench."""
