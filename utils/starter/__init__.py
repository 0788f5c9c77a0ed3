"""The repos the local Hub is born with (one folder = one repo's files), and the scripts that made them."""
