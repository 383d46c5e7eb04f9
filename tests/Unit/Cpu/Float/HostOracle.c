// Executes single x87 and SSE instructions on the host CPU for the tests of Vmm.Cpu.Float.
// stdin: requests of { char name[16]; u32 count; } followed by count records; stdout: the records after execution.
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

// In:  word = FCW or MXCSR; a = ST(0) or XMM0; b = ST(1) or XMM1; m = memory operand or integer register.
// Out: word = FSW or MXCSR; flags = EFLAGS where the instruction sets them; extra = 1 after #XM; a, b, m = results.
typedef struct {
    uint16_t word, flags;
    uint32_t extra;
    uint8_t a[16], b[16], m[16];
} record;

static volatile uint32_t trapped_mxcsr;
static volatile int trapped;
static void *resume;

static void on_fpe(int sig, siginfo_t *info, void *context)
{
    ucontext_t *u = context;
    (void)sig; (void)info;
    trapped = 1;
    trapped_mxcsr = u->uc_mcontext.fpregs->mxcsr;
    u->uc_mcontext.fpregs->mxcsr = 0x1f80;
    u->uc_mcontext.gregs[REG_RIP] = (greg_t)resume;
}

#define X87(name, insn) \
    static void x_##name(record *r) \
    { \
        uint8_t env[108]; uint64_t f; \
        __asm__ volatile( \
            "fninit\n fldt %[b]\n fldt %[a]\n fldcw %[cw]\n" insn "\n pushfq\n pop %[f]\n fnsave %[env]\n" \
            : [env] "=m"(env), [f] "=r"(f), [m] "+m"(r->m) \
            : [a] "m"(r->a), [b] "m"(r->b), [cw] "m"(r->word) : "cc", "memory"); \
        memcpy(&r->word, env + 4, 2); r->flags = (uint16_t)f; \
        memcpy(r->a, env + 28, 10); memcpy(r->b, env + 38, 10); \
    }

#define SSE(name, insn) \
    static void x_##name(record *r) \
    { \
        uint64_t f, g; uint32_t cw = r->word; \
        trapped = 0; memcpy(&g, r->m, 8); \
        __asm__ volatile( \
            "lea 1f(%%rip), %%rcx\n mov %%rcx, %[resume]\n movups %[a], %%xmm0\n movups %[b], %%xmm1\n" \
            "ldmxcsr %[cw]\n" insn "\n 1: pushfq\n pop %[f]\n stmxcsr %[cw]\n movups %%xmm0, %[a]\n" \
            : [f] "=&r"(f), "+a"(g), [a] "+m"(r->a), [cw] "+m"(cw), [resume] "=m"(resume) \
            : [b] "m"(r->b) : "rcx", "xmm0", "xmm1", "cc", "memory"); \
        r->extra = (uint32_t)trapped; r->word = (uint16_t)(trapped ? trapped_mxcsr : cw); \
        r->flags = (uint16_t)f; memcpy(r->m, &g, 8); \
    }

#define TABLE \
    X87(fadd, "fadd %%st(1), %%st") X87(fsub, "fsub %%st(1), %%st") X87(fsubr, "fsubr %%st(1), %%st") \
    X87(fmul, "fmul %%st(1), %%st") X87(fdiv, "fdiv %%st(1), %%st") X87(fdivr, "fdivr %%st(1), %%st") \
    X87(fadds, "fadds %[m]") X87(faddl, "faddl %[m]") X87(fsubs, "fsubs %[m]") X87(fdivl, "fdivl %[m]") \
    X87(fiadds, "fiadds %[m]") X87(fimull, "fimull %[m]") \
    X87(fsqrt, "fsqrt") X87(frndint, "frndint") X87(fscale, "fscale") X87(fxtract, "fxtract") \
    X87(fprem, "fprem") X87(fprem1, "fprem1") \
    X87(fcom, "fcom %%st(1)") X87(fucom, "fucom %%st(1)") X87(ftst, "ftst") X87(fxam, "fxam") \
    X87(fcomi, "fcomi %%st(1), %%st") X87(fucomi, "fucomi %%st(1), %%st") X87(fcoms, "fcoms %[m]") X87(fcoml, "fcoml %[m]") \
    X87(ficoms, "ficoms %[m]") X87(ficoml, "ficoml %[m]") \
    X87(flds, "flds %[m]") X87(fldl, "fldl %[m]") X87(fsts, "fsts %[m]") X87(fstl, "fstl %[m]") \
    X87(fists, "fists %[m]") X87(fistl, "fistl %[m]") X87(fistpll, "fistpll %[m]") \
    X87(fisttps, "fisttps %[m]") X87(fisttpl, "fisttpl %[m]") X87(fisttpll, "fisttpll %[m]") \
    X87(filds, "filds %[m]") X87(fildl, "fildl %[m]") X87(fildll, "fildll %[m]") \
    X87(fbld, "fbld %[m]") X87(fbstp, "fbstp %[m]") \
    X87(fsin, "fsin") X87(fcos, "fcos") X87(fsincos, "fsincos") X87(fptan, "fptan") X87(fpatan, "fpatan") \
    X87(f2xm1, "f2xm1") X87(fyl2x, "fyl2x") X87(fyl2xp1, "fyl2xp1") \
    SSE(addss, "addss %%xmm1, %%xmm0") SSE(subss, "subss %%xmm1, %%xmm0") SSE(mulss, "mulss %%xmm1, %%xmm0") \
    SSE(divss, "divss %%xmm1, %%xmm0") SSE(sqrtss, "sqrtss %%xmm1, %%xmm0") \
    SSE(minss, "minss %%xmm1, %%xmm0") SSE(maxss, "maxss %%xmm1, %%xmm0") \
    SSE(addsd, "addsd %%xmm1, %%xmm0") SSE(subsd, "subsd %%xmm1, %%xmm0") SSE(mulsd, "mulsd %%xmm1, %%xmm0") \
    SSE(divsd, "divsd %%xmm1, %%xmm0") SSE(sqrtsd, "sqrtsd %%xmm1, %%xmm0") \
    SSE(minsd, "minsd %%xmm1, %%xmm0") SSE(maxsd, "maxsd %%xmm1, %%xmm0") \
    SSE(comiss, "comiss %%xmm1, %%xmm0") SSE(ucomiss, "ucomiss %%xmm1, %%xmm0") \
    SSE(comisd, "comisd %%xmm1, %%xmm0") SSE(ucomisd, "ucomisd %%xmm1, %%xmm0") \
    SSE(cvtss2sd, "cvtss2sd %%xmm1, %%xmm0") SSE(cvtsd2ss, "cvtsd2ss %%xmm1, %%xmm0") \
    SSE(cvtsi2ssl, "cvtsi2ssl %%eax, %%xmm0") SSE(cvtsi2ssq, "cvtsi2ssq %%rax, %%xmm0") \
    SSE(cvtsi2sdl, "cvtsi2sdl %%eax, %%xmm0") SSE(cvtsi2sdq, "cvtsi2sdq %%rax, %%xmm0") \
    SSE(cvtss2sil, "cvtss2sil %%xmm1, %%eax") SSE(cvtss2siq, "cvtss2siq %%xmm1, %%rax") \
    SSE(cvtsd2sil, "cvtsd2sil %%xmm1, %%eax") SSE(cvtsd2siq, "cvtsd2siq %%xmm1, %%rax") \
    SSE(cvttss2sil, "cvttss2sil %%xmm1, %%eax") SSE(cvttss2siq, "cvttss2siq %%xmm1, %%rax") \
    SSE(cvttsd2sil, "cvttsd2sil %%xmm1, %%eax") SSE(cvttsd2siq, "cvttsd2siq %%xmm1, %%rax") \
    SSE(roundss0, "roundss $0, %%xmm1, %%xmm0") SSE(roundss1, "roundss $1, %%xmm1, %%xmm0") \
    SSE(roundss2, "roundss $2, %%xmm1, %%xmm0") SSE(roundss3, "roundss $3, %%xmm1, %%xmm0") \
    SSE(roundss4, "roundss $4, %%xmm1, %%xmm0") SSE(roundss12, "roundss $12, %%xmm1, %%xmm0") \
    SSE(roundsd0, "roundsd $0, %%xmm1, %%xmm0") SSE(roundsd1, "roundsd $1, %%xmm1, %%xmm0") \
    SSE(roundsd2, "roundsd $2, %%xmm1, %%xmm0") SSE(roundsd3, "roundsd $3, %%xmm1, %%xmm0") \
    SSE(roundsd4, "roundsd $4, %%xmm1, %%xmm0") SSE(roundsd12, "roundsd $12, %%xmm1, %%xmm0") \
    SSE(cmpss0, "cmpss $0, %%xmm1, %%xmm0") SSE(cmpss1, "cmpss $1, %%xmm1, %%xmm0") \
    SSE(cmpss2, "cmpss $2, %%xmm1, %%xmm0") SSE(cmpss3, "cmpss $3, %%xmm1, %%xmm0") \
    SSE(cmpss4, "cmpss $4, %%xmm1, %%xmm0") SSE(cmpss5, "cmpss $5, %%xmm1, %%xmm0") \
    SSE(cmpss6, "cmpss $6, %%xmm1, %%xmm0") SSE(cmpss7, "cmpss $7, %%xmm1, %%xmm0") \
    SSE(cmpsd0, "cmpsd $0, %%xmm1, %%xmm0") SSE(cmpsd1, "cmpsd $1, %%xmm1, %%xmm0") \
    SSE(cmpsd2, "cmpsd $2, %%xmm1, %%xmm0") SSE(cmpsd3, "cmpsd $3, %%xmm1, %%xmm0") \
    SSE(cmpsd4, "cmpsd $4, %%xmm1, %%xmm0") SSE(cmpsd5, "cmpsd $5, %%xmm1, %%xmm0") \
    SSE(cmpsd6, "cmpsd $6, %%xmm1, %%xmm0") SSE(cmpsd7, "cmpsd $7, %%xmm1, %%xmm0") \
    SSE(addps, "addps %%xmm1, %%xmm0") SSE(subps, "subps %%xmm1, %%xmm0") SSE(mulps, "mulps %%xmm1, %%xmm0") \
    SSE(divps, "divps %%xmm1, %%xmm0") SSE(sqrtps, "sqrtps %%xmm1, %%xmm0") \
    SSE(minps, "minps %%xmm1, %%xmm0") SSE(maxps, "maxps %%xmm1, %%xmm0") \
    SSE(addpd, "addpd %%xmm1, %%xmm0") SSE(subpd, "subpd %%xmm1, %%xmm0") SSE(mulpd, "mulpd %%xmm1, %%xmm0") \
    SSE(divpd, "divpd %%xmm1, %%xmm0") SSE(sqrtpd, "sqrtpd %%xmm1, %%xmm0") \
    SSE(minpd, "minpd %%xmm1, %%xmm0") SSE(maxpd, "maxpd %%xmm1, %%xmm0") \
    SSE(cmpps1, "cmpps $1, %%xmm1, %%xmm0") SSE(cmppd4, "cmppd $4, %%xmm1, %%xmm0") \
    SSE(haddps, "haddps %%xmm1, %%xmm0") SSE(haddpd, "haddpd %%xmm1, %%xmm0") \
    SSE(hsubps, "hsubps %%xmm1, %%xmm0") SSE(hsubpd, "hsubpd %%xmm1, %%xmm0") \
    SSE(addsubps, "addsubps %%xmm1, %%xmm0") SSE(addsubpd, "addsubpd %%xmm1, %%xmm0") \
    SSE(dppsff, "dpps $0xff, %%xmm1, %%xmm0") SSE(dpps71, "dpps $0x71, %%xmm1, %%xmm0") \
    SSE(dppsba, "dpps $0xba, %%xmm1, %%xmm0") SSE(dppd33, "dppd $0x33, %%xmm1, %%xmm0") SSE(dppd12, "dppd $0x12, %%xmm1, %%xmm0") \
    SSE(cvtdq2ps, "cvtdq2ps %%xmm1, %%xmm0") SSE(cvtps2dq, "cvtps2dq %%xmm1, %%xmm0") SSE(cvttps2dq, "cvttps2dq %%xmm1, %%xmm0") \
    SSE(cvtdq2pd, "cvtdq2pd %%xmm1, %%xmm0") SSE(cvtpd2dq, "cvtpd2dq %%xmm1, %%xmm0") SSE(cvttpd2dq, "cvttpd2dq %%xmm1, %%xmm0") \
    SSE(cvtps2pd, "cvtps2pd %%xmm1, %%xmm0") SSE(cvtpd2ps, "cvtpd2ps %%xmm1, %%xmm0") \
    SSE(roundps0, "roundps $0, %%xmm1, %%xmm0") SSE(roundpd4, "roundpd $4, %%xmm1, %%xmm0")

TABLE

#undef X87
#undef SSE
#define X87(name, insn) { #name, x_##name },
#define SSE(name, insn) { #name, x_##name },

static const struct { const char *name; void (*run)(record *); } table[] = { TABLE };

int main(void)
{
    struct { char name[16]; uint32_t count; } request;
    struct sigaction action = { .sa_sigaction = on_fpe, .sa_flags = SA_SIGINFO | SA_NODEFER };
    sigaction(SIGFPE, &action, NULL);
    while (fread(&request, 20, 1, stdin) == 1) {
        record *records = malloc(request.count * sizeof(record));
        size_t i = 0;
        if (!records || fread(records, sizeof(record), request.count, stdin) != request.count)
            return 1;
        while (i < sizeof table / sizeof *table && strncmp(table[i].name, request.name, 16))
            i++;
        if (i == sizeof table / sizeof *table)
            return 2;
        for (uint32_t k = 0; k < request.count; k++)
            table[i].run(&records[k]);
        fwrite(records, sizeof(record), request.count, stdout);
        fflush(stdout);
        free(records);
    }
    return 0;
}
