"""The mbo-koppelpunt hub: statuses of applications in, changes out."""
