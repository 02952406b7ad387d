/*
 * Prints what KernelShark shows of a trace.dat, through the library that it is made of: a line for each row of its table,
 *   CPU <tab> nanoseconds <tab> PID <tab> task <tab> system/event
 *
 * Linked with libkshark.so.2. Its headers would bring the development files of three other libraries along: what is used of them is declared here.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

/* libkshark.h of 2.2.1, the same for all of .so.2 */
struct kshark_entry {
	struct kshark_entry *next;
	uint16_t visible;
	int16_t stream_id;
	int16_t event_id;
	int16_t cpu;
	int32_t pid;
	int64_t offset;
	int64_t ts;
};
struct kshark_context;
bool kshark_instance(struct kshark_context **context);
int kshark_open(struct kshark_context *context, const char *file);
ssize_t kshark_load_entries(struct kshark_context *context, int stream, struct kshark_entry ***entries);
char *kshark_get_event_name(const struct kshark_entry *entry);
char *kshark_get_task(const struct kshark_entry *entry);

int main(int argc, char **argv)
{
	struct kshark_context *context = NULL;
	struct kshark_entry **entries = NULL;

	if (argc != 2 || !kshark_instance(&context))
		return 2;
	int stream = kshark_open(context, argv[1]);
	if (stream < 0) {
		fprintf(stderr, "kshark_open(%s): %d\n", argv[1], stream);
		return 1;
	}
	ssize_t count = kshark_load_entries(context, stream, &entries);
	if (count < 0) {
		fprintf(stderr, "kshark_load_entries(%s): %zd\n", argv[1], count);
		return 1;
	}
	for (ssize_t i = 0; i < count; i++)
		printf("%d\t%lld\t%d\t%s\t%s\n", entries[i]->cpu, (long long)entries[i]->ts, entries[i]->pid,
		       kshark_get_task(entries[i]), kshark_get_event_name(entries[i]));
	return 0;
}
