/* Stands in for the library of NVIDIA's driver, for tests: one card on which two processes compute, and one that tells nothing but its name. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { SUCCESS = 0, NOT_SUPPORTED = 3, INSUFFICIENT_SIZE = 7 };
enum { CLOCK_SM = 1 };

typedef struct { unsigned number; } Card;
typedef struct { unsigned pid; unsigned long long used; unsigned gpu_instance, compute_instance; } Process;

static Card cards[2] = {{0}, {1}};

int nvmlInit_v2(void) { return SUCCESS; }
int nvmlShutdown(void) { return SUCCESS; }
int nvmlDeviceGetCount_v2(unsigned *count) { *count = 2; return SUCCESS; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, Card **card) { *card = &cards[index]; return SUCCESS; }

int nvmlDeviceGetName(Card *card, char *name, unsigned length) {
    strncpy(name, card->number ? "Silent Card" : "NVIDIA Stand-in", length);
    return SUCCESS;
}

static int tell(Card *card, unsigned *place, unsigned value) {
    if (card->number) return NOT_SUPPORTED;
    *place = value;
    return SUCCESS;
}

int nvmlDeviceGetClockInfo(Card *card, int kind, unsigned *mhz) { return tell(card, mhz, kind == CLOCK_SM ? 1755 : 1); }
int nvmlDeviceGetMaxClockInfo(Card *card, int kind, unsigned *mhz) { return tell(card, mhz, kind == CLOCK_SM ? 1980 : 1); }
int nvmlDeviceGetEnforcedPowerLimit(Card *card, unsigned *milliwatts) { return tell(card, milliwatts, 700000); }
int nvmlDeviceGetTemperature(Card *card, int sensor, unsigned *celsius) { return tell(card, celsius, sensor == 0 ? 61 : 1); }

int nvmlDeviceGetCurrentClocksThrottleReasons(Card *card, unsigned long long *reasons) {
    if (card->number) return NOT_SUPPORTED;
    /* Applications' clocks are set (2), the power is at its limit (4), a reason that nobody knows yet. */
    *reasons = 2 | 4 | (1ULL << 60);
    return SUCCESS;
}

int nvmlDeviceGetComputeRunningProcesses_v3(Card *card, unsigned *count, Process *processes) {
    static const Process all[2] = {{4711, 6ULL << 30, 0, 0}, {4712, UINT64_MAX, 0, 0}};
    if (card->number) return NOT_SUPPORTED;
    if (processes == NULL || *count < 2) { *count = 2; return INSUFFICIENT_SIZE; }
    memcpy(processes, all, sizeof all);
    *count = 2;
    return SUCCESS;
}
