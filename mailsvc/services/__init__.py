"""The use-cases: one module per noun, plain functions. Every face of mailsvc calls these and adds no rule of its own.

Each writing use-case takes the ports and an Act, does its change and the audit entry in one transaction, and either
returns or raises a Refusal, in which case nothing was changed.
"""
