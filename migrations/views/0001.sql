-- What Postfix, Dovecot and PowerDNS read. These are a promise to other programs: names and columns stay, tables may change
-- underneath. Every look-up by address or name is an index search (tests/store/test_views.py proves it by EXPLAIN).

-- Postfix: virtual_mailbox_domains
CREATE VIEW postfix_domain AS
SELECT name FROM domain;

-- Postfix: virtual_mailbox_maps. A disabled mailbox still receives: a suspended customer loses no mail.
CREATE VIEW postfix_mailbox AS
SELECT address, incarnation FROM mailbox;

-- Postfix: virtual_alias_maps, a row per target. The row of a mailbox that names itself is its local copy, and what keeps
-- a catch-all from swallowing it; a forward without local copy takes that row away.
CREATE VIEW postfix_alias AS
SELECT f.source AS address, t.target AS target
FROM forward f JOIN forward_target t ON t.forward_id = f.id
UNION ALL
SELECT m.address, m.address
FROM mailbox m
WHERE NOT EXISTS (SELECT 1 FROM forward f WHERE f.source = m.address AND f.keep_local = 0);

-- Postfix: smtpd_sender_login_maps. One may send as one's own address, and as an address that forwards to one's own.
CREATE VIEW postfix_sender_login AS
SELECT address, address AS login
FROM mailbox
WHERE enabled = 1
UNION ALL
SELECT f.source, m.address
FROM forward f JOIN forward_target t ON t.forward_id = f.id JOIN mailbox m ON m.address = t.target
WHERE m.enabled = 1;

-- Dovecot: passdb and userdb. The home directory is named by the incarnation; quota_bytes 0 is unlimited.
CREATE VIEW dovecot_user AS
SELECT address, password_hash AS password, enabled, incarnation, CAST(quota_mib AS BIGINT) * 1048576 AS quota_bytes
FROM mailbox;

-- PowerDNS: zones
CREATE VIEW pdns_domain AS
SELECT id, name, 'NATIVE' AS type, zone_serial AS serial FROM domain;

-- PowerDNS: records. The last part is the empty non-terminal "_domainkey": without it a name server answers that there is
-- nothing below it, and a resolver that asks label by label stops there (RFC 8020).
CREATE VIEW pdns_record AS
SELECT d.id AS domain_id, d.name AS name, 'SOA' AS type,
       s.hostname || ' hostmaster.' || d.name || ' ' || CAST(d.zone_serial AS TEXT) || ' 3600 600 604800 300' AS content,
       300 AS ttl, 0 AS prio, 0 AS disabled, 1 AS auth
FROM domain d CROSS JOIN server s
UNION ALL
SELECT d.id, d.name, 'NS', s.hostname, 300, 0, 0, 1
FROM domain d CROSS JOIN server s
UNION ALL
SELECT d.id, d.name, 'MX', s.hostname, 300, 10, 0, 1
FROM domain d CROSS JOIN server s
UNION ALL
SELECT domain_id, name, 'TXT', content, ttl, 0, 0, 1
FROM dns_record
WHERE enabled = 1
UNION ALL
SELECT domain_id, parent, NULL, NULL, NULL, 0, 0, 1
FROM dns_record
WHERE enabled = 1 AND parent IS NOT NULL;
