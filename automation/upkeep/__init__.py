"""The life of tables: small files made one, old versions removed that nobody refers to, restores on the record."""
