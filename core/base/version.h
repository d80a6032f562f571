/* version.h - which Headgate this is */
#ifndef HEADGATE_BASE_VERSION_H
#define HEADGATE_BASE_VERSION_H

#define VERSION "0.1.0"

#endif
