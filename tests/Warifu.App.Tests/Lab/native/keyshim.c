/* keyshim.c - stands in for the kernel's key interfaces NETLINK_XFRM and PF_KEY (LD_PRELOAD), so that daemons that insist on kernel ESP
 * can be tested on a kernel that has none.  Written for this project; same licence.
 *
 * Requests about SAs and policies never reach the kernel: their type is overwritten with an invalid one, and the kernel's EINVAL is
 * turned into "done" on the way back.  Each is written as one JSON object a line to the file $KEYSHIM_LOG, keys included.  SPIs are
 * still allocated by the kernel, which needs no ESP for it.  A PF_KEY socket (RFC 2367) is one end of a pair whose other end a child of
 * ours answers.  A user _iked that does not exist is "nobody", with the home directory $KEYSHIM_CHROOT.
 *
 * Build: gcc -O1 -Wall -shared -fPIC -o keyshim.so keyshim.c -ldl
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <linux/ipsec.h>
#include <linux/netlink.h>
#include <linux/pfkeyv2.h>
#include <linux/xfrm.h>
#include <netinet/in.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BOGUS 0x7ff0
#define MAXFD 65536
#define REAL(ret, name, ...) static ret (*real_##name)(__VA_ARGS__); if (!real_##name) real_##name = dlsym(RTLD_NEXT, #name)

static unsigned char is_xfrm[MAXFD];
#define XFD(fd) ((fd) >= 0 && (fd) < MAXFD && is_xfrm[fd])

/* ---- the log */

static __thread char line[8192];
static __thread size_t len;

static void put(const char *fmt, ...)
{
	va_list a;

	va_start(a, fmt);
	if (len < sizeof line - 1)
		len += vsnprintf(line + len, sizeof line - len, fmt, a);
	if (len > sizeof line - 2)
		len = sizeof line - 2;
	va_end(a);
}

static void put_hex(const char *name, const void *p, size_t n)
{
	put(",\"%s\":\"", name);
	for (size_t i = 0; i < n; i++)
		put("%02x", ((const uint8_t *)p)[i]);
	put("\"");
}

static void put_address(const char *name, int family, const void *p)
{
	char text[64] = "";

	inet_ntop(family, p, text, sizeof text);
	put(",\"%s\":\"%s\"", name, text);
}

static void put_end(void)
{
	static int fd = -1;
	const char *file = getenv("KEYSHIM_LOG");
	REAL(ssize_t, write, int, const void *, size_t);

	put("}");
	line[len++] = '\n';
	if (fd < 0 && file)
		fd = open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (fd >= 0 && real_write(fd, line, len) < 0)
		perror("keyshim");
	len = 0;
}

static const char *protocol_name(int p) { return p == IPPROTO_ESP ? "esp" : p == IPPROTO_AH ? "ah" : "other"; }
static const char *mode_name(int m) { return m == XFRM_MODE_TRANSPORT ? "transport" : m == XFRM_MODE_TUNNEL ? "tunnel" : "other"; }
static const char *direction_name(int d) { return d == XFRM_POLICY_IN ? "in" : d == XFRM_POLICY_OUT ? "out" : "fwd"; }

static void put_attribute(const struct nlattr *a)
{
	const void *d = a + 1;

	switch (a->nla_type) {
	case XFRMA_ALG_CRYPT: { const struct xfrm_algo *x = d; put(",\"enc\":\"%s\"", x->alg_name); put_hex("enckey", x->alg_key, x->alg_key_len / 8); break; }
	case XFRMA_ALG_AEAD: { const struct xfrm_algo_aead *x = d; put(",\"enc\":\"%s\",\"icv\":%u", x->alg_name, x->alg_icv_len); put_hex("enckey", x->alg_key, x->alg_key_len / 8); break; }
	case XFRMA_ALG_AUTH_TRUNC: { const struct xfrm_algo_auth *x = d; put(",\"auth\":\"%s\",\"icv\":%u", x->alg_name, x->alg_trunc_len); put_hex("authkey", x->alg_key, x->alg_key_len / 8); break; }
	case XFRMA_ALG_AUTH: { const struct xfrm_algo *x = d; put(",\"auth\":\"%s\"", x->alg_name); put_hex("authkey", x->alg_key, x->alg_key_len / 8); break; }
	case XFRMA_ENCAP: { const struct xfrm_encap_tmpl *e = d; put(",\"encap\":%u", e->encap_type); break; }
	case XFRMA_REPLAY_ESN_VAL: { const struct xfrm_replay_state_esn *e = d; put(",\"window\":%u", e->replay_window); break; }
	case XFRMA_TMPL: {
		const struct xfrm_user_tmpl *t = d;
		put(",\"tproto\":\"%s\",\"tmode\":\"%s\",\"treqid\":%u", protocol_name(t->id.proto), mode_name(t->mode), t->reqid);
		put_address("tsrc", t->family, &t->saddr);
		put_address("tdst", t->family, &t->id.daddr);
		break;
	}
	}
}

static void put_request(const struct nlmsghdr *h)
{
	const void *p = NLMSG_DATA(h);
	size_t fixed;

	switch (h->nlmsg_type) {
	case XFRM_MSG_NEWSA: case XFRM_MSG_UPDSA: {
		const struct xfrm_usersa_info *s = p;
		fixed = sizeof *s;
		put("{\"op\":\"sa\",\"proto\":\"%s\",\"spi\":%u,\"mode\":\"%s\",\"reqid\":%u,\"esn\":%s", protocol_name(s->id.proto), ntohl(s->id.spi), mode_name(s->mode), s->reqid, s->flags & XFRM_STATE_ESN ? "true" : "false");
		put_address("src", s->family, &s->saddr);
		put_address("dst", s->family, &s->id.daddr);
		break;
	}
	case XFRM_MSG_DELSA: {
		const struct xfrm_usersa_id *s = p;
		fixed = sizeof *s;
		put("{\"op\":\"delsa\",\"spi\":%u", ntohl(s->spi));
		put_address("dst", s->family, &s->daddr);
		break;
	}
	case XFRM_MSG_NEWPOLICY: case XFRM_MSG_UPDPOLICY: {
		const struct xfrm_userpolicy_info *q = p;
		fixed = sizeof *q;
		put("{\"op\":\"policy\",\"dir\":\"%s\",\"action\":%u,\"splen\":%u,\"dplen\":%u", direction_name(q->dir), q->action, q->sel.prefixlen_s, q->sel.prefixlen_d);
		put_address("src", q->sel.family, &q->sel.saddr);
		put_address("dst", q->sel.family, &q->sel.daddr);
		break;
	}
	case XFRM_MSG_DELPOLICY: {
		const struct xfrm_userpolicy_id *q = p;
		fixed = sizeof *q;
		put("{\"op\":\"delpolicy\",\"dir\":\"%s\",\"splen\":%u,\"dplen\":%u", direction_name(q->dir), q->sel.prefixlen_s, q->sel.prefixlen_d);
		put_address("src", q->sel.family, &q->sel.saddr);
		put_address("dst", q->sel.family, &q->sel.daddr);
		break;
	}
	default:
		return;
	}
	for (size_t at = NLMSG_HDRLEN + NLMSG_ALIGN(fixed); at + sizeof(struct nlattr) <= h->nlmsg_len;) {
		const struct nlattr *a = (const void *)((const uint8_t *)h + at);
		if (a->nla_len < sizeof *a)
			break;
		put_attribute(a);
		at += NLMSG_ALIGN(a->nla_len);
	}
	put_end();
}

/* ---- NETLINK_XFRM */

/* what really goes to the kernel: the message itself, or a copy with an invalid type */
static const void *on_send(int fd, const void *message, size_t n, void *copy, size_t room)
{
	const struct nlmsghdr *h = message;

	if (!XFD(fd) || n < sizeof *h || n > room)
		return message;
	switch (h->nlmsg_type) {
	case XFRM_MSG_NEWSA: case XFRM_MSG_UPDSA: case XFRM_MSG_DELSA: case XFRM_MSG_NEWPOLICY: case XFRM_MSG_UPDPOLICY: case XFRM_MSG_DELPOLICY:
	case XFRM_MSG_FLUSHSA: case XFRM_MSG_FLUSHPOLICY: case XFRM_MSG_MIGRATE:
		put_request(h);
		memcpy(copy, message, n);
		((struct nlmsghdr *)copy)->nlmsg_type = BOGUS;
		return copy;
	}
	return message;
}

static ssize_t on_receive(int fd, void *message, ssize_t n, size_t room)
{
	struct nlmsghdr *h = message;

	if (!XFD(fd) || n < NLMSG_HDRLEN)
		return n;
	if (h->nlmsg_type == XFRM_MSG_EXPIRE) {          /* the kernel never saw the SA whose SPI it allocated: not to be passed on */
		h->nlmsg_type = NLMSG_NOOP;
		return n;
	}
	if (h->nlmsg_type != NLMSG_ERROR || n < (ssize_t)NLMSG_LENGTH(sizeof(struct nlmsgerr)))
		return n;
	struct nlmsgerr *e = NLMSG_DATA(h);
	if (e->msg.nlmsg_type == BOGUS)
		e->error = 0;
	if (e->msg.nlmsg_type == XFRM_MSG_GETSA && e->error && room >= NLMSG_LENGTH(sizeof(struct xfrm_usersa_info))) {
		uint32_t seq = h->nlmsg_seq, pid = h->nlmsg_pid;          /* "it exists, nothing counted yet" */
		n = NLMSG_LENGTH(sizeof(struct xfrm_usersa_info));
		memset(message, 0, n);
		h->nlmsg_len = n;
		h->nlmsg_type = XFRM_MSG_NEWSA;
		h->nlmsg_seq = seq;
		h->nlmsg_pid = pid;
		((struct xfrm_usersa_info *)NLMSG_DATA(h))->curlft.add_time = time(0);
	}
	return n;
}

ssize_t write(int fd, const void *b, size_t n)
{
	char copy[16384];
	REAL(ssize_t, write, int, const void *, size_t);
	return real_write(fd, on_send(fd, b, n, copy, sizeof copy), n);
}

ssize_t send(int fd, const void *b, size_t n, int flags)
{
	char copy[16384];
	REAL(ssize_t, send, int, const void *, size_t, int);
	return real_send(fd, on_send(fd, b, n, copy, sizeof copy), n, flags);
}

ssize_t sendto(int fd, const void *b, size_t n, int flags, const struct sockaddr *to, socklen_t l)
{
	char copy[16384];
	REAL(ssize_t, sendto, int, const void *, size_t, int, const struct sockaddr *, socklen_t);
	return real_sendto(fd, on_send(fd, b, n, copy, sizeof copy), n, flags, to, l);
}

ssize_t read(int fd, void *b, size_t n)
{
	REAL(ssize_t, read, int, void *, size_t);
	return on_receive(fd, b, real_read(fd, b, n), n);
}

ssize_t recv(int fd, void *b, size_t n, int flags)
{
	REAL(ssize_t, recv, int, void *, size_t, int);
	return on_receive(fd, b, real_recv(fd, b, n, flags), n);
}

ssize_t recvfrom(int fd, void *b, size_t n, int flags, struct sockaddr *from, socklen_t *l)
{
	REAL(ssize_t, recvfrom, int, void *, size_t, int, struct sockaddr *, socklen_t *);
	return on_receive(fd, b, real_recvfrom(fd, b, n, flags, from, l), n);
}

/* ---- PF_KEY */

static const char *pf_integrity(int a)
{
	switch (a) {
	case SADB_AALG_MD5HMAC: return "hmac(md5)";
	case SADB_AALG_SHA1HMAC: return "hmac(sha1)";
	case SADB_X_AALG_SHA2_256HMAC: return "hmac(sha256)";
	case SADB_X_AALG_SHA2_384HMAC: return "hmac(sha384)";
	case SADB_X_AALG_SHA2_512HMAC: return "hmac(sha512)";
	}
	return "";
}

static int pf_icv(int a)
{
	return a == SADB_X_AALG_SHA2_256HMAC ? 128 : a == SADB_X_AALG_SHA2_384HMAC ? 192 : a == SADB_X_AALG_SHA2_512HMAC ? 256 : 96;
}

static const char *pf_cipher(int e)
{
	switch (e) {
	case SADB_EALG_DESCBC: return "cbc(des)";
	case SADB_EALG_3DESCBC: return "cbc(des3_ede)";
	case SADB_EALG_NULL: return "ecb(cipher_null)";
	case SADB_X_EALG_AESCBC: return "cbc(aes)";
	}
	return "";
}

static void pf_address(const char *name, const void *p)
{
	const struct sockaddr *s = p;

	if (s->sa_family == AF_INET)
		put_address(name, AF_INET, &((const struct sockaddr_in *)p)->sin_addr);
	else if (s->sa_family == AF_INET6)
		put_address(name, AF_INET6, &((const struct sockaddr_in6 *)p)->sin6_addr);
}

static const char *pf_mode(int m) { return m == IPSEC_MODE_TRANSPORT ? "transport" : "tunnel"; }

static void pf_policy(const struct sadb_x_policy *q)
{
	const struct sadb_x_ipsecrequest *r = (const void *)(q + 1);
	const struct sockaddr *a = (const void *)(r + 1);

	put(",\"dir\":\"%s\",\"action\":%u", q->sadb_x_policy_dir == IPSEC_DIR_INBOUND ? "in" : q->sadb_x_policy_dir == IPSEC_DIR_OUTBOUND ? "out" : "fwd", q->sadb_x_policy_type == IPSEC_POLICY_IPSEC ? 0 : 1);
	if (q->sadb_x_policy_len * 8 <= sizeof *q)
		return;
	put(",\"tproto\":\"%s\",\"tmode\":\"%s\",\"treqid\":%u", protocol_name(r->sadb_x_ipsecrequest_proto), pf_mode(r->sadb_x_ipsecrequest_mode), r->sadb_x_ipsecrequest_reqid);
	if (r->sadb_x_ipsecrequest_len <= sizeof *r)
		return;
	pf_address("tsrc", a);
	pf_address("tdst", (const char *)a + (a->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in)));
}

static void pf_extension(int type, const struct sadb_ext *x)
{
	const struct sadb_key *k = (const void *)x;
	int isdst = x->sadb_ext_type == SADB_EXT_ADDRESS_DST;

	switch (x->sadb_ext_type) {
	case SADB_EXT_SA: {
		const struct sadb_sa *s = (const void *)x;
		put(",\"spi\":%u", ntohl(s->sadb_sa_spi));
		if (type == SADB_ADD || type == SADB_UPDATE)
			put(",\"enc\":\"%s\",\"auth\":\"%s\",\"icv\":%d,\"window\":%u", pf_cipher(s->sadb_sa_encrypt), pf_integrity(s->sadb_sa_auth), pf_icv(s->sadb_sa_auth), s->sadb_sa_replay);
		break;
	}
	case SADB_EXT_ADDRESS_SRC: case SADB_EXT_ADDRESS_DST: {
		const struct sadb_address *a = (const void *)x;
		pf_address(isdst ? "dst" : "src", a + 1);
		put(",\"%s\":%u", isdst ? "dplen" : "splen", a->sadb_address_prefixlen);
		break;
	}
	case SADB_EXT_KEY_AUTH: put_hex("authkey", k + 1, k->sadb_key_bits / 8); break;
	case SADB_EXT_KEY_ENCRYPT: put_hex("enckey", k + 1, k->sadb_key_bits / 8); break;
	case SADB_X_EXT_SA2: {
		const struct sadb_x_sa2 *s = (const void *)x;
		put(",\"mode\":\"%s\",\"reqid\":%u", pf_mode(s->sadb_x_sa2_mode), s->sadb_x_sa2_reqid);
		break;
	}
	case SADB_X_EXT_NAT_T_TYPE: put(",\"encap\":%u", ((const struct sadb_x_nat_t_type *)x)->sadb_x_nat_t_type_type); break;
	case SADB_X_EXT_POLICY: pf_policy((const void *)x); break;
	}
}

/* "the kernel": writes down what comes, and says yes to everything */
static void pf_serve(int s)
{
	static const char *names[] = { [SADB_GETSPI] = "getspi", [SADB_UPDATE] = "sa", [SADB_ADD] = "sa", [SADB_DELETE] = "delsa", [SADB_X_SPDUPDATE] = "policy", [SADB_X_SPDADD] = "policy", [SADB_X_SPDDELETE] = "delpolicy" };
	static const uint8_t integrities[] = { 2, 3, 5, 6, 7 }, ciphers[] = { 2, 3, 11, 12 };
	static uint64_t in[1024], out[1024];
	struct sadb_msg *m = (void *)in, *o = (void *)out;
	ssize_t n;
	REAL(ssize_t, send, int, const void *, size_t, int);
	REAL(ssize_t, recv, int, void *, size_t, int);

	while ((n = real_recv(s, in, sizeof in, 0)) > 0) {
		int type = m->sadb_msg_type;
		size_t l = sizeof *o;
		const char *name = type < (int)(sizeof names / sizeof *names) ? names[type] : 0;
		if (name)
			put("{\"op\":\"%s\",\"proto\":\"%s\"", name, m->sadb_msg_satype == SADB_SATYPE_AH ? "ah" : "esp");
		memset(out, 0, sizeof out);
		*o = *m;
		o->sadb_msg_errno = 0;
		if (type == SADB_GETSPI) {                        /* answer: an SA with a fresh SPI, and the addresses of the request */
			struct sadb_sa *sa = (void *)(o + 1);
			sa->sadb_sa_len = sizeof *sa / 8;
			sa->sadb_sa_exttype = SADB_EXT_SA;
			if (getrandom(&sa->sadb_sa_spi, 4, 0) != 4)
				return;
			sa->sadb_sa_spi |= htonl(0xc0000000);
			l += sizeof *sa;
		}
		for (uint8_t *p = (uint8_t *)(m + 1); p + 4 <= (uint8_t *)in + n;) {
			const struct sadb_ext *x = (void *)p;
			if (!x->sadb_ext_len)
				break;
			if (name)
				pf_extension(type, x);
			if (type == SADB_GETSPI && (x->sadb_ext_type == SADB_EXT_ADDRESS_SRC || x->sadb_ext_type == SADB_EXT_ADDRESS_DST)) {
				memcpy((uint8_t *)out + l, p, x->sadb_ext_len * 8);
				l += x->sadb_ext_len * 8;
			}
			p += x->sadb_ext_len * 8;
		}
		if (name)
			put_end();
		if (type == SADB_REGISTER) {                      /* answer: what "the kernel" can do */
			for (int k = 0; k < 2; k++) {
				struct sadb_supported *su = (void *)((uint8_t *)out + l);
				struct sadb_alg *al = (void *)(su + 1);
				size_t count = k ? sizeof ciphers : sizeof integrities;
				su->sadb_supported_exttype = k ? SADB_EXT_SUPPORTED_ENCRYPT : SADB_EXT_SUPPORTED_AUTH;
				su->sadb_supported_len = (sizeof *su + count * sizeof *al) / 8;
				for (size_t i = 0; i < count; i++) {
					al[i].sadb_alg_id = k ? ciphers[i] : integrities[i];
					al[i].sadb_alg_ivlen = 16;
					al[i].sadb_alg_maxbits = 512;
				}
				l += su->sadb_supported_len * 8;
			}
		} else if (type == SADB_GET) {                    /* the SA is there and has never been used */
			struct sadb_lifetime *lt = (void *)(o + 1);
			lt->sadb_lifetime_len = sizeof *lt / 8;
			lt->sadb_lifetime_exttype = SADB_EXT_LIFETIME_CURRENT;
			l += sizeof *lt;
		} else if (type != SADB_GETSPI) {                 /* the request comes back */
			memcpy(out, in, n);
			o->sadb_msg_errno = 0;
			l = n;
		}
		o->sadb_msg_len = l / 8;
		if (real_send(s, out, l, 0) < 0)
			return;
	}
}

static int pf_socket(int type)
{
	int pair[2];
	pid_t parent = getpid();

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | (type & ~0xf), 0, pair))
		return -1;
	if (fork() == 0) {
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		if (getppid() == parent) {
			fcntl(pair[1], F_SETFL, fcntl(pair[1], F_GETFL) & ~O_NONBLOCK);
			close(pair[0]);
			pf_serve(pair[1]);
		}
		_exit(0);
	}
	close(pair[1]);
	return pair[0];
}

/* ---- what the daemon calls */

int socket(int domain, int type, int protocol)
{
	REAL(int, socket, int, int, int);
	int fd = domain == PF_KEY ? pf_socket(type) : real_socket(domain, type, protocol);

	if (fd >= 0 && fd < MAXFD)
		is_xfrm[fd] = domain == AF_NETLINK && protocol == NETLINK_XFRM;
	return fd;
}

int close(int fd)
{
	REAL(int, close, int);
	if (fd >= 0 && fd < MAXFD)
		is_xfrm[fd] = 0;
	return real_close(fd);
}

/* UDP_ENCAP and bypass policies of sockets: taken and not used */
int setsockopt(int fd, int level, int name, const void *value, socklen_t l)
{
	REAL(int, setsockopt, int, int, int, const void *, socklen_t);
	if ((level == IPPROTO_UDP && name == 100) || (level == IPPROTO_IP && (name == 16 || name == 17)) || (level == IPPROTO_IPV6 && (name == 34 || name == 35)))
		return 0;
	return real_setsockopt(fd, level, name, value, l);
}

/* iked waits one millisecond for its kernel (it means a second) and gives up: on a busy machine that is not enough */
static int patience(nfds_t n, int timeout) { return n == 1 && timeout == 1 && getenv("KEYSHIM_CHROOT") ? 20000 : timeout; }

int poll(struct pollfd *p, nfds_t n, int timeout)
{
	REAL(int, poll, struct pollfd *, nfds_t, int);
	return real_poll(p, n, patience(n, timeout));
}

int __poll_chk(struct pollfd *p, nfds_t n, int timeout, size_t room)
{
	REAL(int, __poll_chk, struct pollfd *, nfds_t, int, size_t);
	return real___poll_chk(p, n, patience(n, timeout), room);
}

struct passwd *getpwnam(const char *name)
{
	REAL(struct passwd *, getpwnam, const char *);
	struct passwd *p = real_getpwnam(name);

	if (!p && !strcmp(name, "_iked") && getenv("KEYSHIM_CHROOT") && (p = real_getpwnam("nobody")))
		p->pw_dir = getenv("KEYSHIM_CHROOT");
	return p;
}
