"""The fault campaign: the whole pipeline under load, while what is around it and what it is made of breaks.

It has servers, a sandbox and processes of its own in a temporary folder, and knows the pipeline from the outside only:
by its HTTP interface, by Stripe's, by signals to processes, and by what is in the database at the end. Everything that
chance decides comes from one seed. A campaign passes where no payment was lost, credited twice or asked for twice, and
money and hours were conserved at every look, not only at the end.
"""
