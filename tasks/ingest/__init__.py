"""From arrived files to stored takes: inbox, session, plates, take."""
