"""The sandbox: a seeded synthetic municipality that plays everybody outside the platform.

Rule: it speaks to the platform only the way outsiders do, through the exchange folders and RIS over HTTP, and never
touches the warehouse. Every person, address, phone number and BSN in it is made up. All of it follows from the seed
(`settings.py`), so the same command always gives the same bytes.

    python -m include.sandbox deliver YYYY-MM     the four partners' files of a month
    python -m include.sandbox serve               enrichment provider, Certin's dialler and the RIS server, one process
    python -m include.sandbox ris-files YYYY-MM   the same RIS content as files, for a run without an API
"""
