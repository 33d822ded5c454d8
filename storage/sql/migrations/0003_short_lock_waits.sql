-- Who waits for a table's lock holds up everybody behind: making partitions gives up soon instead.
alter function add_day_partitions(date, integer) set lock_timeout = '50ms';
