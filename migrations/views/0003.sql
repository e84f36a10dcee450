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

-- Postfix: the last of virtual_alias_maps, asked for '@domain' after the address itself. A target on this server is shown only while
-- it is a mailbox or a forward: else Postfix would take every message in and bounce it afterwards.
CREATE VIEW postfix_catch_all AS
SELECT d.name AS domain, c.target AS target
FROM catch_all c JOIN domain d ON d.id = c.domain_id
LEFT JOIN domain t ON t.name = c.target_domain
LEFT JOIN mailbox m ON m.address = c.target
LEFT JOIN forward f ON f.source = c.target
WHERE t.id IS NULL OR m.id IS NOT NULL OR f.id IS NOT NULL;

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

-- The signer: every key that signs now. Its record is published, and acknowledged to be so, and no rotation is bringing it up or
-- winding it down. private_key is sealed.
CREATE VIEW dkim_signing_key AS
SELECT d.name AS domain, k.selector AS selector, k.algorithm AS algorithm, k.private_key AS private_key
FROM domain d
JOIN dkim_key k ON k.domain_id = d.id
JOIN dns_record r ON r.domain_id = d.id AND r.purpose = 'dkim' AND r.name = k.selector || '._domainkey.' || d.name
WHERE r.enabled = 1 AND r.settled = 1 AND NOT EXISTS (SELECT 1 FROM dkim_rotation t WHERE t.key_id = k.id);

-- PowerDNS: zones
CREATE VIEW pdns_domain AS
SELECT id, name, 'NATIVE' AS type, zone_serial AS serial FROM domain;

-- PowerDNS: records. Parts without a type are empty non-terminals, "_domainkey" and "_tcp": without them a name server
-- answers that there is nothing below, and a resolver that asks label by label stops there (RFC 8020). DMARC is shown while SPF or
-- DKIM is on: without either it asks receivers to report failures of nothing. SRV records are those of RFC 6186 and RFC 8314; content
-- and prio together are their data.
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
WHERE enabled = 1 AND parent IS NOT NULL
UNION ALL
SELECT n.domain_id, n.name, 'TXT', '"v=DMARC1; p=none"', 300, 0, 0, 1
FROM zone_name n
WHERE n.label = '_dmarc' AND EXISTS (SELECT 1 FROM dns_record r WHERE r.domain_id = n.domain_id AND r.enabled = 1)
UNION ALL
SELECT n.domain_id, n.name, 'CNAME', s.hostname, 300, 0, 0, 1
FROM zone_name n CROSS JOIN server s
WHERE n.label = 'autoconfig'
UNION ALL
SELECT n.domain_id, n.name, NULL, NULL, NULL, 0, 0, 1
FROM zone_name n
WHERE n.label = '_tcp'
UNION ALL
SELECT n.domain_id, n.name, 'SRV',
       CASE n.label WHEN '_submissions._tcp' THEN '1 465 ' WHEN '_submission._tcp' THEN '1 587 '
                    WHEN '_imaps._tcp' THEN '1 993 ' WHEN '_imap._tcp' THEN '1 143 ' ELSE '1 995 ' END || s.hostname,
       300, CASE n.label WHEN '_submissions._tcp' THEN 0 WHEN '_imaps._tcp' THEN 0 WHEN '_pop3s._tcp' THEN 20 ELSE 10 END, 0, 1
FROM zone_name n CROSS JOIN server s
WHERE n.label IN ('_submissions._tcp', '_submission._tcp', '_imaps._tcp', '_imap._tcp', '_pop3s._tcp');
