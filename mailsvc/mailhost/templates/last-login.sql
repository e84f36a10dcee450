-- The last login of each mailbox by each protocol, in seconds since 1970. To be made once, as the user who writes it:
--   install --directory --owner=dovecot --group=dovecot --mode=0750 {{ last_login.rpartition('/')[0] }}
--   runuser -u dovecot -- sqlite3 {{ last_login }} < {{ directory }}/last-login.sql
CREATE TABLE IF NOT EXISTS last_login (
  address TEXT NOT NULL,
  service TEXT NOT NULL,
  at INTEGER NOT NULL,
  PRIMARY KEY (address, service)
);
