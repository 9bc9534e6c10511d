"""An audit of what is there: ledger, store, feature repository, registry and mails, compared without the stages' code.

What a stage believes of itself would hide the stage's own mistakes. So everything is read again here: the ledger in
SQL, folders by their listings, files by their bytes. Only the definition with its calendar, names, and what opens a
connection are shared.
"""
