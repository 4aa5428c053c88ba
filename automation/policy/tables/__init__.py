"""Decision tables: what may be done about a case, in rules that a person edits and a machine cannot misread.

A table is a file in GoRules' JDM JSON (`document`). It is asked once for each case and each action the case could get,
and answers `allow`, `review` or `forbid` with the rules that said so and their reasons in words (`judge`). What it is
asked with is checked first (`inputs`), because the engine answers a missing or mistyped value by skipping the rules
that read it. The rules are run as column expressions (`compiled`); a table that uses more of the language is run by
zen-engine itself (`engine`), which is also what the compiled form is held to.
"""
