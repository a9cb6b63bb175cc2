/* What C does for Go. */
#ifndef BOUNDARY_H
#define BOUNDARY_H

#include "tracer_plugin.h"

#include <stdlib.h>

/* Fills in *told, which may be NULL, and returns the code. */
tracer_code tell(tracer_error *told, tracer_code code, const char *message);
/* Writes a line to the application's log. */
void say(const tracer_host *host, uint32_t level, const char *line);

#endif
