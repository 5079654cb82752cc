"""What lies where: takes, plates, mattes, scribbles, calibrations, models. Knows no torch and no Prefect."""
