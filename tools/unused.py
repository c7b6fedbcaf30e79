"""Names that look unused to vulture, each with the reason why it stays.  `make lint` reads this file.

An entry is `_.name  # reason`.  A test finds entries whose name is gone.
"""

# Called by a library, under a name that the library chooses.
_.convert  # click: converts the text of an option
_.command_class  # click: the class of a group's commands
_.format_commands  # click: writes the list of commands into the help
_.add_worker  # distributed: scheduler plugin
_.remove_worker  # distributed: scheduler plugin
_.stimulus_id  # distributed: passes this argument by name to remove_worker()
_.idempotent  # distributed: reads this attribute of a plugin
_.teardown  # distributed: worker plugin
_.public_key_auth_requested  # asyncssh: client callback
_.validate_host_public_key  # asyncssh: client callback
_.no_wrap  # rich: attribute of a text
_.trust_env  # requests: whether a session heeds the environment, such as proxies
_.linkname  # tarfile: the target of a symbolic link
_.connection_made  # asyncio: a connection was accepted
_.writeable  # numpy: makes the array read-only
_.trace  # the third argument of __exit__() and __aexit__()

_.tone  # Jinja: the template of a report reads it

# Used by types only.
_.__call__  # the signature of an output format
_.DataclassInstance  # a bound of a type variable, written as text

# Fields of a dataclass that is written as a whole: to the record, to JSON, or into a line of text.
_.jain_by_chance  # record: fairness
_.slowest  # record: fairness
_.distribution  # record: environment
_.open_files_limit  # record: environment
_.libraries  # record: environment
_.sockets_time_wait  # heartbeats and the record
_.local_settings  # read by the h2 library
_.started_at_ns  # record of a network run
_.discarded  # record of a network run
_.runs_mbit_per_s  # record of a network run
_.tests_done  # counters of a probe server, printed at its end
_.tests_broken  # counters of a probe server, printed at its end
_.refused_busy  # counters of a probe server, printed at its end
_.garbage  # counters of a probe server, printed at its end
_.timed_out  # counters of a probe server, printed at its end
_.unknown_datagrams  # counters of a probe server, printed at its end
_.seq  # heartbeats: tests check that none is lost
_.tcp_retransmits  # counter of a network namespace in run.json, by name
_.tcp_segments_sent  # counter of a network namespace in run.json, by name
_.tcp_segments_received  # counter of a network namespace in run.json, by name
_.tcp_syn_retransmits  # counter of a network namespace in run.json, by name
_.tcp_timeouts  # counter of a network namespace in run.json, by name
_.tcp_loss_probes  # counter of a network namespace in run.json, by name
_.tcp_out_of_order  # counter of a network namespace in run.json, by name
_.tcp_received_twice  # counter of a network namespace in run.json, by name
_.tcp_receive_drops  # counter of a network namespace in run.json, by name
_.tcp_aborted_on_timeout  # counter of a network namespace in run.json, by name

# Members of an enumeration that are reached by their value or by unpacking the enumeration.
_.RANDOM  # the value `random` of --last-ad
_.SENDING  # unpacked into module names, for speed
_.READING  # unpacked into module names, for speed
_.PAUSED  # unpacked into module names, for speed
_.STOPPED  # unpacked into module names, for speed

# Used by tests and benchmarks only.
_.validate  # the invariants of a machine's life; the property tests call it after each event
_.workers_of  # the names of all workers of a fleet, for benchmarks and the contract tests of fleets
_.body_bytes  # the differential tests compare it between the Python and the compiled reader
_.strange  # a counter of messages that no machine may send; nothing shows it yet
_.begins_s  # StageRow: run.json has it, by dataclasses.asdict
_.segments_sent  # counters of a VM in run.json, by name
_.stolen_share  # counters of a VM in run.json, by name
_.pss_before_bytes  # counters of a VM in run.json, by name
