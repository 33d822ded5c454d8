"""The comparators: each a bare fan-out as a competent user of its library would write it.

Every one does the same. ``POST /v1/calls`` takes a call as JSON; every buyer is sent a ping of the
plain dialect at once, with its own ``ping_id`` and its own time limit; the highest bid is answered.
No database, no authentication, no post, no trace. What they serve comes from the environment:
``PORT``; ``OFFERS``, a JSON list of ``{"offer", "url", "headers"}``, where the headers are that
buyer's credentials; ``TIMEOUT_MS``, the time a ping may take.
"""
