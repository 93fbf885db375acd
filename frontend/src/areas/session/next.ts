/** Whether an address is answered by the server and not by this console: an application's request, which goes on after the log-in. */
export const isOfServer = (href: string): boolean => href.startsWith('/oauth/')
