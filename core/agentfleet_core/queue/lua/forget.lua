-- A worker has ended: its records go. What it held stays leased until the lease ends. ARGV from 4: worker.
--@include pool
call('HDEL', tag .. ':workers', ARGV[4])
call('HDEL', tag .. ':answers', ARGV[4])
call('SREM', tag .. ':draining', ARGV[4])
return 1
