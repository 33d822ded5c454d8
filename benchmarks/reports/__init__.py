"""How fast reports are on the figures of many calls, and what folding a call costs."""
